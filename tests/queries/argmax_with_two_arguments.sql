select array_argmax(da_latent, da_latent) from objects
