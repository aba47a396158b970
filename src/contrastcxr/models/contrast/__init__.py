"""What a study is compared with, from `VisualFeatures` to `VisualFeatures`."""
