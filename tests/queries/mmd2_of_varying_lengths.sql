select mmd2([1, 2], case when mag > 17 then [1] else [1, 2] end) from objects
