select energy_distance(da_latent, mag) from objects
