select mdm2(da_latent, other_latent) from objects
