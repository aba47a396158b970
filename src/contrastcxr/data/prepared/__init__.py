"""What `data prepare` keeps: pictures at the size of a model, in shards that stream at flat memory."""
