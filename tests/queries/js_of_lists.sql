select js_distance(da_latent, other_latent) from objects
