"""OVMS's options and keys that this server has no use for, each with what to do instead."""

_STATEFUL = "stateful models are gone from OVMS too; remove it"
_GENERATIVE = "generative models are not served; use OpenVINO Model Server for them"
_PULL = "models are not pulled from a hub; put the files where --model_path points and remove it"
_EDIT = "edit config.json instead; the server picks the change up on its own"
_CUSTOM_NODES = "there are no custom nodes and no DAG pipelines here; remove it"

OPTIONS = {
    **dict.fromkeys(
        ("sequence_cleaner_poll_wait_minutes", "stateful", "idle_sequence_cleanup", "max_sequence_number",
         "low_latency_transformation"), _STATEFUL),
    **dict.fromkeys(
        ("pull", "source_model", "gguf_filename", "overwrite_models", "weight_format",
         "extra_quantization_params", "source_loras", "model_repository_path", "vocoder"), _PULL),
    **dict.fromkeys(
        ("task", "task_params", "configure", "verbose_response", "allowed_media_domains",
         "allowed_local_media_path", "max_num_seqs", "cache_size", "enable_prefix_caching",
         "dynamic_split_fuse", "max_num_batched_tokens", "pipeline_type", "kv_cache_precision", "tool_parser",
         "reasoning_parser", "enable_tool_guided_generation", "draft_source_model", "max_prompt_len",
         "model_distribution_policy", "num_streams", "normalize", "truncate", "pooling", "max_allowed_chunks",
         "max_doc_length", "resolution", "max_resolution", "default_resolution", "max_num_images_per_prompt",
         "default_num_inference_steps", "max_num_inference_steps", "num_images_per_prompt", "guidance_scale",
         "num_inference_steps"), _GENERATIVE),
    **dict.fromkeys(("add_to_config", "remove_from_config"), _EDIT),
    "custom_node_resources_cleaner_interval_seconds": _CUSTOM_NODES,
    "list_models": "ask GET /v1/config instead",
    "api_key_file": "put an authenticating proxy in front",
    "trace_path": "there is no tracing to a file; remove it",
}  # fmt: skip

TOP_KEYS = {
    "mediapipe_config_list": "MediaPipe graphs",
    "pipeline_config_list": "DAG pipelines",
    "custom_node_library_config_list": "custom nodes",
    "custom_loader_config_list": "custom loaders",
}
MODEL_KEYS = {
    "stateful": "stateful models",
    "idle_sequence_cleanup": "stateful models",
    "max_sequence_number": "stateful models",
    "low_latency_transformation": "stateful models",
    "custom_loader_options": "custom loaders",
    "graph_path": "MediaPipe graphs",
    "subconfig": "MediaPipe graphs",
}
