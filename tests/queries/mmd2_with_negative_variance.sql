select mmd2(da_latent, other_latent, -1) from objects
