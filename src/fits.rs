//! FITS bytes to header and planes, through cfitsio. The only file with `unsafe`.
