select mmd2(distinct da_latent, other_latent) from objects
