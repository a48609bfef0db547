"""Click logs in, prepared sets out, batches from them. Import from the modules: some need torch, most do not."""
