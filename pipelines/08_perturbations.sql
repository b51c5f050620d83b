-- Accuracy and expected calibration error against the strength of each perturbation, of both models. The first row is without.
with strengths (image, place, perturbation, strength) as (
    values
        ('y10', 0, 'none', 0),
        ('rice_1', 11, 'Rice, quantize level', 1),
        ('rice_2', 12, 'Rice, quantize level', 0.1),
        ('rice_3', 13, 'Rice, quantize level', 0.02),
        ('hcompress_1', 21, 'HCOMPRESS, scale', 2),
        ('hcompress_2', 22, 'HCOMPRESS, scale', 10),
        ('hcompress_3', 23, 'HCOMPRESS, scale', 40),
        ('blur_1', 31, 'blur, FWHM arcsec', 0.5),
        ('blur_2', 32, 'blur, FWHM arcsec', 1),
        ('blur_3', 33, 'blur, FWHM arcsec', 2),
        ('pixels_1', 41, 'dead pixels, fraction', 0.01),
        ('pixels_2', 42, 'dead pixels, fraction', 0.1),
        ('pixels_3', 43, 'dead pixels, fraction', 0.4),
        ('columns_1', 51, 'dead columns', 2),
        ('columns_2', 52, 'dead columns', 10),
        ('columns_3', 53, 'dead columns', 40),
        ('rays_1', 61, 'cosmic rays in a band', 1),
        ('rays_2', 62, 'cosmic rays in a band', 10),
        ('rays_3', 63, 'cosmic rays in a band', 100),
        ('gain_1', 71, 'gain, sigma', 0.03),
        ('gain_2', 72, 'gain, sigma', 0.1),
        ('gain_3', 73, 'gain, sigma', 0.3),
        ('sky_1', 81, 'sky, fraction, sigma', 0.001),
        ('sky_2', 82, 'sky, fraction, sigma', 0.005),
        ('sky_3', 83, 'sky, fraction, sigma', 0.02)
),
scores as (
    select
        split_part(a.score, '_', 1) as model,
        substr(a.score, strpos(a.score, '_') + 1) as image,
        a.n, a.accuracy, c.ece, c.mean_confidence
    from accuracy a
    join calibration c on a.score = c.score and a.scope = c.scope and c.bin is null
    where a.scope = 'total' and a.class = 'all'
)
select
    s.perturbation, s.strength,
    r.n as galaxies,
    round(r.accuracy, 3) as regular,
    round(d.accuracy, 3) as da,
    round(r.mean_confidence, 3) as regular_confidence,
    round(d.mean_confidence, 3) as da_confidence,
    round(r.ece, 3) as regular_ece,
    round(d.ece, 3) as da_ece
from strengths s
join scores r on r.image = s.image and r.model = 'regular'
join scores d on d.image = s.image and d.model = 'da'
order by s.place
