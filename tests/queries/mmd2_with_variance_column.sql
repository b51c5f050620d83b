select da_class, mmd2(da_latent, other_latent, mag) from objects group by da_class
