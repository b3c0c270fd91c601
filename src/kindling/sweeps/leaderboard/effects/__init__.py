"""The effect of each option on the score, and its picture, effects.png."""
