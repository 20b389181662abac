"""An attractor as text: grid cells, Markov chains and GPT-2 on them."""
