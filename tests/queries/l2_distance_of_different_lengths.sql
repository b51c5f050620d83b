select l2_distance(da_latent, da_probability) from objects
