select * from object
