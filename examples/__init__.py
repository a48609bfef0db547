"""Example configs, installed as `nasrec_nni.examples`; `nasrec ls examples` lists them, `nasrec cp NAME` copies one."""
