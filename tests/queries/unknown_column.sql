select objct_id from objects
