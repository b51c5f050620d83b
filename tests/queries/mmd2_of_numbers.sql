select mmd2(mag, label = 'spiral') from objects
