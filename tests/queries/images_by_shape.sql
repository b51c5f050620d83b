select object_id, image, da_latent, da_probability, image[2] as pixel from objects limit 3
