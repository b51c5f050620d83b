select da_class, mmd2(da_latent, da_probability) from objects group by da_class
