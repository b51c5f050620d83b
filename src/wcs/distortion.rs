//! Maps of a plane onto itself by two polynomials, and their inverse. SIP distorts pixels, TPV the plane of projection.

use super::polynomial::Polynomial;

/// The most steps of Newton's method. From a start that suits a detector it needs about five.
const MAX_STEPS: usize = 50;
/// How often a step that leads away from the target is halved.
const MAX_HALVINGS: usize = 30;

/// A map of a plane onto itself.
#[derive(Debug, Clone)]
pub(super) struct Distortion {
    along: [Polynomial; 2],
    /// Whether the map keeps the sense of rotation at the origin. Where the sense is the other one, the plane is folded.
    keeps_sense: bool,
}

impl Distortion {
    /// The map `(x, y) -> (along[0](x, y), along[1](x, y))`; `None` if it is singular at the origin.
    pub(super) fn new(along: [Polynomial; 2]) -> Option<Self> {
        let origin = along.each_ref().map(|polynomial| polynomial.gradient([0.0; 2]));
        let determinant = origin[0].by_x * origin[1].by_y - origin[0].by_y * origin[1].by_x;
        (determinant.is_finite() && determinant != 0.0).then_some(Self { along, keeps_sense: determinant > 0.0 })
    }

    /// Where a point is mapped to.
    pub(super) fn apply(&self, point: [f64; 2]) -> [f64; 2] {
        self.along.each_ref().map(|polynomial| polynomial.value(point))
    }

    /// The point that is mapped to a target, by Newton's method with steps that are halved until the distance to the target falls.
    /// `None` if no step comes below the tolerance, or if the plane is folded between the origin and the point.
    pub(super) fn invert(&self, target: [f64; 2], tolerance: f64) -> Option<[f64; 2]> {
        let distance = |point: [f64; 2]| {
            let [x, y] = self.apply(point);
            (x - target[0]).hypot(y - target[1])
        };
        let mut at = target;
        let mut off = distance(at);
        for _ in 0..MAX_STEPS {
            let [u, v] = self.along.each_ref().map(|polynomial| polynomial.gradient(at));
            let (du, dv) = (target[0] - u.value, target[1] - v.value);
            let determinant = u.by_x * v.by_y - u.by_y * v.by_x;
            let step = [(du * v.by_y - dv * u.by_y) / determinant, (dv * u.by_x - du * v.by_x) / determinant];
            let length = step[0].hypot(step[1]);
            if !length.is_finite() {
                return None;
            }
            // Rounding alone moves a point that is far from the origin.
            if length <= tolerance.max(8.0 * f64::EPSILON * at[0].hypot(at[1])) {
                return ((determinant > 0.0) == self.keeps_sense).then_some([at[0] + step[0], at[1] + step[1]]);
            }
            let mut part = 1.0;
            let (next, next_off) = (0..MAX_HALVINGS).find_map(|_| {
                let next = [at[0] + part * step[0], at[1] + part * step[1]];
                let next_off = distance(next);
                part *= 0.5;
                (next_off < off).then_some((next, next_off))
            })?;
            (at, off) = (next, next_off);
        }
        None
    }
}
