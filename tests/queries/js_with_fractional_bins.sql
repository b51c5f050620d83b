select js_distance(mag, 18, 2.5) from objects
