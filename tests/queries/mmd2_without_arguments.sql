select mmd2() from objects
