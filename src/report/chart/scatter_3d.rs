//! Scatter plots in three dimensions: static views, and the data from which the page draws rotated views on a canvas.

use askama::Template;
use plotters::style::RGBColor;
use serde_json::{Value, json};

use super::{
    FONT_SIZE, LEGEND_LINE, LegendPosition, WIDTH, apng,
    axis::range,
    legend_height,
    marks::MarkStyle,
    palette::{GRID, GRID_HEX, INK, INK_HEX, MUTED, MUTED_HEX, PAPER_HEX, hex},
    rasterize,
    text::text_width,
    wrap_legend,
};
use crate::{
    error::Result,
    report::{format::significant, render},
};

/// A scatter plot in three dimensions. Points are moved and scaled so that their bounding box is centred on the origin and its
/// corners are on the unit sphere. All axes have one scale, because such plots show distances.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Scatter3d {
    /// The range of the data along each axis.
    ranges: [(f64, f64); 3],
    /// From the centre of the box to its faces.
    half: Point3,
    series: Vec<PointSeries>,
    links: Vec<[Point3; 2]>,
}

/// Points with one colour and mark.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct PointSeries {
    /// The name in the legend; series without a name are not in the legend.
    pub(in crate::report) name: Option<String>,
    pub(in crate::report) colour: RGBColor,
    pub(in crate::report) style: MarkStyle,
    pub(in crate::report) points: Vec<Point3>,
}

/// x, y, z.
pub(in crate::report) type Point3 = [f64; 3];

/// The direction of view: rotation about the third axis, and elevation above its plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct ViewDirection {
    pub(in crate::report) azimuth_deg: f64,
    pub(in crate::report) elevation_deg: f64,
}

/// The direction of the static view.
pub(in crate::report) const DEFAULT_VIEW: ViewDirection = ViewDirection { azimuth_deg: 30.0, elevation_deg: 20.0 };
/// Frames of a full rotation, as in the videos of arXiv 2112.14299.
const FRAMES: u32 = 90;

/// Pixels per unit.
const UNIT: f64 = 250.0;
/// The distance from the eye to the centre, units.
const EYE: f64 = 4.0;
const PLOT: u32 = 480;
/// The height of the line with the ranges of the axes.
const RANGES_LINE: u32 = 24;
/// Where the number of an axis is drawn, relative to its end.
const AXIS_NUMBER: f64 = 1.08;
/// The smallest radius of a mark in the legend, pixels.
const LEGEND_RADIUS: f64 = 4.0;
/// The edges of the box, by the signs of their ends. The first three are the axes.
const EDGES: [[Point3; 2]; 12] = [
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
#[template(path = "scatter_3d.svg")]
struct Scatter3dSvg<'a> {
    width: u32,
    height: u32,
    legend: Vec<LegendEntry<'a>>,
    /// Grid, axes, links.
    lines: Vec<ProjectedLine>,
    axes: [AxisNumber; 3],
    ranges: String,
    /// SVG elements, from the farthest to the nearest.
    marks: Vec<String>,
}

struct LegendEntry<'a> {
    /// An SVG element.
    mark: String,
    x: f64,
    y: f64,
    name: &'a str,
}

struct ProjectedLine {
    from: (f64, f64),
    to: (f64, f64),
    colour: &'static str,
}

struct AxisNumber {
    x: f64,
    y: f64,
    number: usize,
}

impl Scatter3d {
    /// A plot of some series, with lines between some points.
    pub(in crate::report) fn new(series: Vec<PointSeries>, links: Vec<[Point3; 2]>) -> Self {
        let all = || series.iter().flat_map(|series| &series.points);
        let ranges = [0, 1, 2].map(|axis| range(all().map(|at| at[axis])).unwrap_or((0.0, 0.0)));
        let centre = ranges.map(|(low, high)| (low + high) / 2.0);
        let half = ranges.map(|(low, high)| (high - low) / 2.0);
        let corner = half.iter().map(|half| half * half).sum::<f64>().sqrt();
        let scale = if corner > 0.0 { corner.recip() } else { 1.0 };
        let moved = |at: Point3| [0, 1, 2].map(|axis| (at[axis] - centre[axis]) * scale);
        Self {
            ranges,
            half: half.map(|half| half * scale),
            links: links.into_iter().map(|link| link.map(moved)).collect(),
            series: series
                .into_iter()
                .map(|series| PointSeries { points: series.points.into_iter().map(moved).collect(), ..series })
                .collect(),
        }
    }

    /// The view from a direction.
    pub(in crate::report) fn svg(&self, view: ViewDirection) -> Result<String> {
        let (legend, top) = self.legend();
        let projected = |at: Point3| view.project(at).pixels(top);
        let line = |[from, to]: [Point3; 2], colour| ProjectedLine { from: projected(from), to: projected(to), colour };
        let edges = EDGES
            .iter()
            .enumerate()
            .rev()
            .map(|(i, ends)| line(ends.map(|signs| self.corner(signs)), if i < 3 { MUTED_HEX } else { GRID_HEX }));
        let links = self.links.iter().map(|ends| line(*ends, INK_HEX));
        let mut marks: Vec<(f64, String)> = Vec::new();
        for series in &self.series {
            marks.extend(series.points.iter().map(|at| {
                let seen = view.project(*at);
                let style = MarkStyle { radius: series.style.radius * seen.size, ..series.style };
                (seen.depth, style.svg(seen.pixels(top), series.colour))
            }));
        }
        marks.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        render(&Scatter3dSvg {
            width: WIDTH,
            height: top + PLOT + RANGES_LINE,
            legend,
            lines: edges.chain(links).collect(),
            axes: [0, 1, 2].map(|axis| {
                let (x, y) = projected(self.corner(EDGES[axis][1]).map(|along| along * AXIS_NUMBER));
                AxisNumber { x, y: y + 4.5, number: axis + 1 }
            }),
            ranges: self.range_text(),
            marks: marks.into_iter().map(|(_, mark)| mark).collect(),
        })
    }

    /// A full rotation as an animated PNG.
    pub(in crate::report) fn apng(&self) -> Result<Vec<u8>> {
        let frame = |i: u32| {
            let azimuth_deg = DEFAULT_VIEW.azimuth_deg + 360.0 * f64::from(i) / f64::from(FRAMES);
            rasterize::pixmap(&self.svg(ViewDirection { azimuth_deg, ..DEFAULT_VIEW })?, 1.0)
        };
        apng::encode(FRAMES, frame)
    }

    /// The data for the canvas of the page: coordinates in thousandths of the unit, lengths in pixels of the chart.
    pub(in crate::report) fn json(&self) -> String {
        let thousandths = |at: &Point3| at.map(|along| (along * 1000.0).round() as i64);
        let series = self.series.iter().map(|series| {
            json!({
                "colour": hex(series.colour),
                "mark": series.style.json(),
                "points": series.points.iter().flat_map(thousandths).collect::<Vec<_>>(),
            })
        });
        let top = self.legend().1;
        json!({
            "width": WIDTH,
            "height": top + PLOT + RANGES_LINE,
            "top": top,
            "bottom": top + PLOT,
            "centre": centre(top),
            "unit": UNIT,
            "eye": EYE,
            "view": [DEFAULT_VIEW.azimuth_deg, DEFAULT_VIEW.elevation_deg],
            "axis_number": AXIS_NUMBER,
            "edges": EDGES.map(|ends| ends.map(|signs| thousandths(&self.corner(signs)))),
            "series": series.collect::<Vec<Value>>(),
            "links": self.links.iter().flatten().flat_map(thousandths).collect::<Vec<_>>(),
            "theme": { "ink": hex(INK), "muted": hex(MUTED), "grid": hex(GRID) },
        })
        .to_string()
    }

    fn range_text(&self) -> String {
        let range = |(i, (low, high)): (usize, &(f64, f64))| {
            format!("axis {}: {} to {}", i + 1, significant(*low), significant(*high))
        };
        self.ranges.iter().enumerate().map(range).collect::<Vec<_>>().join(" · ")
    }

    fn corner(&self, signs: Point3) -> Point3 {
        [0, 1, 2].map(|axis| signs[axis] * self.half[axis])
    }

    /// The legend and its height.
    fn legend(&self) -> (Vec<LegendEntry<'_>>, u32) {
        let named: Vec<(&PointSeries, &str)> =
            self.series.iter().filter_map(|series| Some((series, series.name.as_deref()?))).collect();
        let positions = wrap_legend(named.iter().map(|(_, name)| 26 + text_width(name, FONT_SIZE) + 16));
        let entry = |((series, name), at): ((&PointSeries, _), &LegendPosition)| {
            let (left, middle) = (f64::from(at.x), f64::from(6 + at.line * LEGEND_LINE + LEGEND_LINE / 2));
            let style = MarkStyle { radius: series.style.radius.max(LEGEND_RADIUS), ..series.style };
            LegendEntry { mark: style.svg((left + 10.0, middle), series.colour), x: left + 22.0, y: middle + 4.5, name }
        };
        (named.into_iter().zip(&positions).map(entry).collect(), legend_height(&positions))
    }
}

/// A projected point.
struct ProjectedPoint {
    /// To the right and up, units.
    x: f64,
    y: f64,
    /// Away from the eye.
    depth: f64,
    /// The perspective factor: more than 1 in front of the centre.
    size: f64,
}

impl ViewDirection {
    /// Rotates about the third axis, tilts, and projects for an eye [`EYE`] units in front of the centre.
    fn project(self, [x, y, z]: Point3) -> ProjectedPoint {
        let (sin_a, cos_a) = self.azimuth_deg.to_radians().sin_cos();
        let (sin_e, cos_e) = self.elevation_deg.to_radians().sin_cos();
        let (right, away) = (cos_a * x + sin_a * y, cos_a * y - sin_a * x);
        let (up, depth) = (cos_e * z + sin_e * away, cos_e * away - sin_e * z);
        let size = EYE / (EYE + depth);
        ProjectedPoint { x: size * right, y: size * up, depth, size }
    }
}

impl ProjectedPoint {
    fn pixels(&self, top: u32) -> (f64, f64) {
        let [x, y] = centre(top);
        (x + UNIT * self.x, y - UNIT * self.y)
    }
}

/// The pixel of the origin, below a legend of height `top`.
fn centre(top: u32) -> [f64; 2] {
    [f64::from(WIDTH) / 2.0, f64::from(top) + f64::from(PLOT) / 2.0]
}

#[cfg(test)]
mod tests {
    use super::{super::marks::Mark, *};

    fn series(points: Vec<Point3>, mark: Mark) -> PointSeries {
        let style = MarkStyle { mark, radius: 3.0, outlined: true };
        PointSeries { name: Some("<i>".into()), colour: INK, style, points }
    }

    #[test]
    fn projects_by_rotation_tilt_and_perspective() {
        let close = |seen: &ProjectedPoint, x: f64, y: f64, depth: f64| {
            [seen.x - x, seen.y - y, seen.depth - depth].iter().all(|difference| difference.abs() < 1e-12)
        };
        let from = |azimuth_deg, elevation_deg| ViewDirection { azimuth_deg, elevation_deg };
        assert!(close(&from(0.0, 0.0).project([0.5, 0.0, 0.25]), 0.5, 0.25, 0.0));
        assert!(close(&from(90.0, 0.0).project([0.0, 0.5, 0.0]), 0.5, 0.0, 0.0), "the second axis points right");
        assert!(close(&from(0.0, 90.0).project([0.0, 0.5, 0.0]), 0.0, 0.5, 0.0), "seen from above");
        let (near, far) = (from(0.0, 0.0).project([0.0, -1.0, 0.0]), from(0.0, 0.0).project([0.0, 1.0, 0.0]));
        assert_eq!((near.size, far.size), (4.0 / 3.0, 0.8));
    }

    #[test]
    fn draws_inside_the_chart_from_all_sides() {
        let points: Vec<Point3> =
            EDGES.iter().flatten().map(|[x, y, z]| [40.0 * x, 7.0 + 40.0 * y, 40.0 * z]).collect();
        let scatter = Scatter3d::new(vec![series(points, Mark::Dot)], Vec::new());
        assert_eq!(scatter.range_text(), "axis 1: -40 to 40 · axis 2: -33 to 47 · axis 3: -40 to 40");
        let (_, top) = scatter.legend();
        for azimuth in 0..90 {
            let view = ViewDirection { azimuth_deg: f64::from(4 * azimuth), elevation_deg: 20.0 };
            for at in &scatter.series[0].points {
                let (x, y) = view.project(*at).pixels(top);
                assert!((8.0..712.0).contains(&x) && (f64::from(top)..f64::from(top + PLOT)).contains(&y), "{x} {y}");
            }
        }
    }

    #[test]
    fn draws_near_marks_over_far_ones_and_escapes_names() {
        let all = vec![series(vec![[0.0, -1.0, 0.0]], Mark::Dot), series(vec![[0.0, 1.0, 0.0]], Mark::Star)];
        let scatter = Scatter3d::new(all, vec![[[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]]]);
        let svg = scatter.svg(ViewDirection { azimuth_deg: 0.0, elevation_deg: 0.0 }).expect("an SVG");
        let rotated = svg.split_once("data-static").expect("the part that the canvas replaces").1;
        assert!(rotated.find("<circle") > rotated.find("z\""), "the star is behind the dot: {rotated}");
        assert!(svg.contains("&#60;i&#62;") && !svg.contains("<i>"), "{svg}");
        rasterize::png(&svg).expect("a PNG");
        let json: Value = serde_json::from_str(&scatter.json()).expect("JSON");
        assert_eq!(json["series"][0]["points"], json!([0, -1000, 0]));
        assert_eq!(json["links"], json!([0, -1000, 0, 0, 1000, 0]));
    }

    #[test]
    fn draws_coincident_points_and_empty_plots() {
        for points in [vec![[2.0; 3]; 2], Vec::new()] {
            let scatter = Scatter3d::new(vec![series(points, Mark::Ring)], Vec::new());
            let svg = scatter.svg(DEFAULT_VIEW).expect("an SVG");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
