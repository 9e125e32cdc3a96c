"""Fine-tuning of pretrained encoder-decoders, by transformers and peft."""
