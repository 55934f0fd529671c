"""Zero-shot FID and CLIP score on COCO: the protocol of GLIDE and unCLIP, which the paper follows.

30,000 captions of COCO 2014 validation, one a picture, against the whole validation set at 256 px.
The paper reports FID 9.2 and CLIP score 0.28; see `benchmarks/coco-zero-shot/README.md`.
"""
