"""The mathematics of diffusion: schedules, the process, guidance, samplers; no networks, no I/O."""
