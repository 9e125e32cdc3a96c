"""The problem of fine-tuning pretrained translation models."""
