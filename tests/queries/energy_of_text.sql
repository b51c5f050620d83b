select energy_distance(label, da_class) from objects
