select js_distance(mag, 18, 1) from objects
