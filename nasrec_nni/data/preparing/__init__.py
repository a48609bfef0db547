"""From a log to the files of a prepared set, step by step; `nasrec_nni.data.prepare` walks them."""
