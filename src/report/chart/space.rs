//! Points in three dimensions: as they look from one side, and the numbers from which the page turns them.

use askama::Template;
use plotters::style::RGBColor;
use serde_json::{Value, json};

use super::{
    LEGEND_LINE, LETTERS, WIDTH,
    axis::extent,
    bug, film, in_lines, legend_height,
    marks::Mark,
    palette::{GRID, MUTED, hex},
    raster, text_width,
};
use crate::{error::Result, report::numbers::short};

/// Points in three dimensions, moved and scaled so that the box around them has the origin in its middle and its corners on the
/// unit sphere. (The three axes have one scale: distances are what such a picture shows.)
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Space {
    /// The range of each axis.
    range: [(f64, f64); 3],
    /// From the middle of the box to its faces.
    half: Place,
    clouds: Vec<Cloud>,
    links: Vec<[Place; 2]>,
}

/// Points of one colour and form.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Cloud {
    /// What the legend calls it; clouds without a name are not in the legend.
    pub(in crate::report) name: Option<String>,
    pub(in crate::report) colour: RGBColor,
    pub(in crate::report) mark: Mark,
    /// Pixels.
    pub(in crate::report) radius: f64,
    /// With a line of ink around each.
    pub(in crate::report) outlined: bool,
    pub(in crate::report) at: Vec<Place>,
}

/// x, y, z.
pub(in crate::report) type Place = [f64; 3];

/// From where one looks: about the third axis, and from above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct View {
    pub(in crate::report) azimuth_deg: f64,
    pub(in crate::report) elevation_deg: f64,
}

/// The first look.
pub(in crate::report) const FIRST: View = View { azimuth_deg: 30.0, elevation_deg: 20.0 };
/// Frames of a whole turn, as in the videos of arXiv 2112.14299.
const FRAMES: u32 = 90;

/// Pixels of the unit.
const UNIT: f64 = 250.0;
/// From the eye to the middle.
const EYE: f64 = 4.0;
const PLOT: u32 = 480;
/// The line with the ranges of the axes.
const RANGES: u32 = 24;
/// How far along an axis its number stands, for one to its end.
const NAMED: f64 = 1.08;
/// The edges of the box, by the signs of their ends; the first three are the axes.
const EDGES: [[[f64; 3]; 2]; 12] = [
    [[-1.0, -1.0, -1.0], [1.0, -1.0, -1.0]],
    [[-1.0, -1.0, -1.0], [-1.0, 1.0, -1.0]],
    [[-1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]],
    [[1.0, -1.0, -1.0], [1.0, 1.0, -1.0]],
    [[1.0, -1.0, -1.0], [1.0, -1.0, 1.0]],
    [[-1.0, 1.0, -1.0], [1.0, 1.0, -1.0]],
    [[-1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]],
    [[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0]],
    [[-1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]],
    [[1.0, 1.0, -1.0], [1.0, 1.0, 1.0]],
    [[1.0, -1.0, 1.0], [1.0, 1.0, 1.0]],
    [[-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]],
];

#[derive(Template)]
#[template(path = "space.svg")]
struct Picture<'a> {
    width: u32,
    height: u32,
    legend: Vec<(Drawn, f64, f64, &'a str)>,
    /// Grid, then axes.
    lines: Vec<(String, [(f64, f64); 2])>,
    /// Where the number of each axis stands.
    names: [(f64, f64, usize); 3],
    ranges: String,
    links: Vec<[(f64, f64); 2]>,
    marks: Vec<Drawn>,
}

/// A mark where it is drawn.
struct Drawn {
    form: Form,
    colour: String,
    outlined: bool,
}

enum Form {
    Round { x: f64, y: f64, radius: f64, filled: bool },
    Corners(String),
    Strokes(String),
}

impl Space {
    /// The points of the clouds, and lines between some of them.
    pub(in crate::report) fn new(clouds: Vec<Cloud>, links: Vec<[Place; 2]>) -> Self {
        let all = || clouds.iter().flat_map(|cloud| &cloud.at);
        let range = [0, 1, 2].map(|axis| extent(all().map(|at| at[axis])).unwrap_or((0.0, 0.0)));
        let middle = range.map(|(low, high)| (low + high) / 2.0);
        let half = range.map(|(low, high)| (high - low) / 2.0);
        let corner = half.iter().map(|half| half * half).sum::<f64>().sqrt();
        let scale = if corner > 0.0 { corner.recip() } else { 1.0 };
        let moved = |at: Place| [0, 1, 2].map(|axis| (at[axis] - middle[axis]) * scale);
        Self {
            range,
            half: half.map(|half| half * scale),
            links: links.into_iter().map(|link| link.map(moved)).collect(),
            clouds: clouds
                .into_iter()
                .map(|cloud| Cloud { at: cloud.at.into_iter().map(moved).collect(), ..cloud })
                .collect(),
        }
    }

    /// As it looks from one side.
    pub(in crate::report) fn svg(&self, view: View) -> Result<String> {
        let (legend, top) = self.legend();
        let seen = |at: Place| view.project(at).pixels(top);
        let edge = |[from, to]: [Place; 2]| [from, to].map(|signs| seen(self.corner(signs)));
        let lines = EDGES.iter().enumerate().rev().map(|(i, ends)| {
            let colour = if i < 3 { MUTED } else { GRID };
            (hex(colour), edge(*ends))
        });
        let mut marks: Vec<(f64, Drawn)> = Vec::new();
        for cloud in &self.clouds {
            marks.extend(cloud.at.iter().map(|at| {
                let seen = view.project(*at);
                let (x, y) = seen.pixels(top);
                (seen.depth, cloud.drawn(x, y, cloud.radius * seen.size))
            }));
        }
        // The farthest first.
        marks.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        Picture {
            width: WIDTH,
            height: top + PLOT + RANGES,
            legend,
            lines: lines.collect(),
            names: [0, 1, 2].map(|axis| {
                let (x, y) = seen(self.corner(EDGES[axis][1]).map(|along| along * NAMED));
                (x, y + 4.5, axis + 1)
            }),
            ranges: self.ranges(),
            links: self.links.iter().map(|ends| ends.map(seen)).collect(),
            marks: marks.into_iter().map(|(_, mark)| mark).collect(),
        }
        .render()
        .map_err(bug)
    }

    /// A whole turn as an animated PNG.
    pub(in crate::report) fn turn(&self) -> Result<Vec<u8>> {
        let frame = |i: u32| {
            let azimuth_deg = FIRST.azimuth_deg + 360.0 * f64::from(i) / f64::from(FRAMES);
            raster::pixmap(&self.svg(View { azimuth_deg, ..FIRST })?, 1.0)
        };
        film::animated(FRAMES, frame)
    }

    /// What the page draws from: lengths in thousandths of the unit, pixels of the whole picture.
    pub(in crate::report) fn json(&self) -> String {
        let whole = |at: &Place| at.map(|along| (along * 1000.0).round() as i64);
        let clouds = self.clouds.iter().map(|cloud| {
            json!({
                "colour": hex(cloud.colour),
                "form": match cloud.mark {
                    Mark::Dot => "dot",
                    Mark::Ring => "ring",
                    Mark::Cross => "cross",
                    _ => "corners",
                },
                "corners": cloud.mark.corners(),
                "radius": cloud.radius,
                "outlined": cloud.outlined,
                "at": cloud.at.iter().flat_map(whole).collect::<Vec<_>>(),
            })
        });
        let top = self.legend().1;
        json!({
            "width": WIDTH,
            "height": top + PLOT + RANGES,
            "top": top,
            "bottom": top + PLOT,
            "middle": middle(top),
            "unit": UNIT,
            "eye": EYE,
            "view": [FIRST.azimuth_deg, FIRST.elevation_deg],
            "named": NAMED,
            "edges": EDGES.map(|ends| ends.map(|signs| whole(&self.corner(signs)))),
            "clouds": clouds.collect::<Vec<Value>>(),
            "links": self.links.iter().flatten().flat_map(whole).collect::<Vec<_>>(),
        })
        .to_string()
    }

    fn ranges(&self) -> String {
        let range =
            |(i, (low, high)): (usize, &(f64, f64))| format!("axis {}: {} to {}", i + 1, short(*low), short(*high));
        self.range.iter().enumerate().map(range).collect::<Vec<_>>().join(" · ")
    }

    fn corner(&self, signs: [f64; 3]) -> Place {
        [0, 1, 2].map(|axis| signs[axis] * self.half[axis])
    }

    /// Marks and names in lines that fit, and their height.
    fn legend(&self) -> (Vec<(Drawn, f64, f64, &str)>, u32) {
        let named: Vec<(&Cloud, &str)> =
            self.clouds.iter().filter_map(|cloud| Some((cloud, cloud.name.as_deref()?))).collect();
        let places = in_lines(named.iter().map(|(_, name)| 26 + text_width(name, LETTERS) + 16));
        let entry = |((cloud, name), (x, line)): (&(&Cloud, _), &(u32, u32))| {
            let (left, middle) = (f64::from(*x), f64::from(6 + line * LEGEND_LINE + LEGEND_LINE / 2));
            (cloud.drawn(left + 10.0, middle, cloud.radius.max(4.0)), left + 22.0, middle + 4.5, *name)
        };
        (named.iter().zip(&places).map(entry).collect(), legend_height(&places))
    }
}

impl Cloud {
    fn drawn(&self, x: f64, y: f64, radius: f64) -> Drawn {
        let form = match self.mark {
            Mark::Dot => Form::Round { x, y, radius, filled: true },
            Mark::Ring => Form::Round { x, y, radius, filled: false },
            Mark::Cross => {
                let stroke = |up: f64| {
                    format!("M{:.1} {:.1}L{:.1} {:.1}", x - radius, y - up * radius, x + radius, y + up * radius)
                };
                Form::Strokes(stroke(1.0) + &stroke(-1.0))
            }
            _ => {
                let corner = |(dx, dy): &(f64, f64)| format!("{:.1} {:.1}", x + radius * dx, y + radius * dy);
                let corners: Vec<String> = self.mark.corners().iter().map(corner).collect();
                Form::Corners(format!("M{}z", corners.join("L")))
            }
        };
        Drawn { form, colour: hex(self.colour), outlined: self.outlined }
    }
}

/// A place as it is seen.
struct Seen {
    /// To the right and up, in units.
    x: f64,
    y: f64,
    /// Away from the eye.
    depth: f64,
    /// By how much nearer things are larger.
    size: f64,
}

impl View {
    /// Turned about the third axis, tilted, and seen from [`EYE`] units before the middle.
    fn project(self, [x, y, z]: Place) -> Seen {
        let (sin_a, cos_a) = self.azimuth_deg.to_radians().sin_cos();
        let (sin_e, cos_e) = self.elevation_deg.to_radians().sin_cos();
        let (right, away) = (cos_a * x + sin_a * y, cos_a * y - sin_a * x);
        let (up, depth) = (cos_e * z + sin_e * away, cos_e * away - sin_e * z);
        let size = EYE / (EYE + depth);
        Seen { x: size * right, y: size * up, depth, size }
    }
}

impl Seen {
    fn pixels(&self, top: u32) -> (f64, f64) {
        let [x, y] = middle(top);
        (x + UNIT * self.x, y - UNIT * self.y)
    }
}

/// The pixel of the origin below a legend of some height.
fn middle(top: u32) -> [f64; 2] {
    [f64::from(WIDTH) / 2.0, f64::from(top) + f64::from(PLOT) / 2.0]
}

#[cfg(test)]
mod tests {
    use super::{super::palette::INK, *};

    fn cloud(at: Vec<Place>, mark: Mark) -> Cloud {
        Cloud { name: Some("<i>".into()), colour: INK, mark, radius: 3.0, outlined: true, at }
    }

    #[test]
    fn a_view_is_a_turn_a_tilt_and_a_perspective() {
        let close = |seen: &Seen, x: f64, y: f64, depth: f64| {
            [seen.x - x, seen.y - y, seen.depth - depth].iter().all(|far| far.abs() < 1e-12)
        };
        let from = |azimuth_deg, elevation_deg| View { azimuth_deg, elevation_deg };
        assert!(close(&from(0.0, 0.0).project([0.5, 0.0, 0.25]), 0.5, 0.25, 0.0));
        assert!(
            close(&from(90.0, 0.0).project([0.0, 0.5, 0.0]), 0.5, 0.0, 0.0),
            "the second axis has come to the right"
        );
        assert!(close(&from(0.0, 90.0).project([0.0, 0.5, 0.0]), 0.0, 0.5, 0.0), "seen from above");
        let (near, far) = (from(0.0, 0.0).project([0.0, -1.0, 0.0]), from(0.0, 0.0).project([0.0, 1.0, 0.0]));
        assert_eq!((near.size, far.size), (4.0 / 3.0, 0.8));
    }

    #[test]
    fn all_that_is_drawn_stays_in_the_picture() {
        let at: Vec<Place> = EDGES.iter().flatten().map(|[x, y, z]| [40.0 * x, 7.0 + 40.0 * y, 40.0 * z]).collect();
        let space = Space::new(vec![cloud(at, Mark::Dot)], Vec::new());
        assert_eq!(space.ranges(), "axis 1: -40 to 40 · axis 2: -33 to 47 · axis 3: -40 to 40");
        let (_, top) = space.legend();
        for azimuth in 0..90 {
            let view = View { azimuth_deg: f64::from(4 * azimuth), elevation_deg: 20.0 };
            for at in &space.clouds[0].at {
                let (x, y) = view.project(*at).pixels(top);
                assert!((8.0..712.0).contains(&x) && (f64::from(top)..f64::from(top + PLOT)).contains(&y), "{x} {y}");
            }
        }
    }

    #[test]
    fn near_marks_are_drawn_over_far_ones_and_names_are_text() {
        let clouds = vec![cloud(vec![[0.0, -1.0, 0.0]], Mark::Dot), cloud(vec![[0.0, 1.0, 0.0]], Mark::Star)];
        let space = Space::new(clouds, vec![[[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]]]);
        let svg = space.svg(View { azimuth_deg: 0.0, elevation_deg: 0.0 }).expect("a picture");
        let still = svg.split_once("data-still").expect("a part that turns").1;
        assert!(still.find("<circle") > still.find("z\""), "the star is behind the dot: {still}");
        assert!(svg.contains("&#60;i&#62;") && !svg.contains("<i>"), "{svg}");
        raster::png(&svg).expect("a PNG");
        let json: Value = serde_json::from_str(&space.json()).expect("json");
        assert_eq!(json["clouds"][0]["at"], json!([0, -1000, 0]));
        assert_eq!(json["links"], json!([0, -1000, 0, 0, 1000, 0]));
    }

    #[test]
    fn points_in_one_place_and_no_points_can_be_drawn() {
        for at in [vec![[2.0; 3]; 2], Vec::new()] {
            let svg = Space::new(vec![cloud(at, Mark::Ring)], Vec::new()).svg(FIRST).expect("a picture");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
