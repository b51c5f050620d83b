select js_distance(mag, 18, null::int) from objects
