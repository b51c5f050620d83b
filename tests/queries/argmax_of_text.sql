select array_argmax(object_id) from objects
