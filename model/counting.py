"""The parameters of a model and the operations of its matrix products, from its configuration alone."""

from model.config import ModelConfig


def count_parameters(config: ModelConfig, source_vocab: int, target_vocab: int) -> int:
    """The number of parameters of a `Transformer`; tied matrices count once."""
    d, hidden = config.d_model, config.hidden_dim
    norm = d if config.norm_type == "rms" else 2 * d
    query_and_output = 2 * (d * d + d)
    key_and_value = 2 * (d * config.kv_dim + config.kv_dim)
    attention = query_and_output + key_and_value
    expanded = 2 * hidden if config.gated else hidden
    feed_forward = d * expanded + expanded + hidden * d + d
    self_attention = attention + config.position_kind.layer_parameters(config)
    encoder = config.encoder_layers * (self_attention + feed_forward + 2 * norm)
    decoder = config.decoder_layers * (self_attention + attention + feed_forward + 3 * norm)
    once = config.position_kind.shared_parameters(config)
    final_norms = 2 * norm if config.norm == "pre" else 0
    matrices = {"all": target_vocab, "decoder": source_vocab + target_vocab, "none": source_vocab + 2 * target_vocab}
    return encoder + decoder + once + final_norms + matrices[config.tied_embeddings] * d


def count_flops(config: ModelConfig, target_vocab: int, source_tokens: int, target_tokens: int) -> int:
    """Operations of a forward pass over one pair, with all target logits; training takes three times as many.

    A multiplication and its addition are two operations. Only matrix products count, with attention as if not causal.
    """
    d, s, t = config.d_model, source_tokens, target_tokens
    project_kv = 2 * d * 2 * config.kv_dim  # per token
    project_query_and_output = 2 * 2 * d * d
    feed_forward = 2 * d * (config.hidden_dim * (3 if config.gated else 2))

    def attend(queries: int, keys: int) -> int:
        return 2 * 2 * queries * keys * d

    def self_attend(tokens: int) -> int:
        by_position = config.position_kind.layer_flops(config, tokens)
        return tokens * (project_kv + project_query_and_output) + attend(tokens, tokens) + by_position

    encoder = self_attend(s) + s * feed_forward
    cross_attention = t * project_query_and_output + s * project_kv + attend(t, s)
    decoder = self_attend(t) + cross_attention + t * feed_forward
    return config.encoder_layers * encoder + config.decoder_layers * decoder + 2 * t * d * target_vocab
