"""A trained network as files that need neither NNI nor Lightning, and rows scored with them.

network + prepared set ─ write ─► folder ─ model ─► ExportedModel ─ predict ─► scores of a raw log
                                    │
                                    ├ model.safetensors, network.json, architecture.json   what it is
                                    ├ schema.json, vocabulary.parquet, source.json         how raw rows become ids
                                    ├ model.onnx, model.pt2                                the network as programs
                                    └ README.md, manifest.json                             what it reached; hashes
"""
