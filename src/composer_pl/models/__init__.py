"""One stage of the cascade per file: a plain Module that training and inference share."""
