//! Charts with axes: stacked panels with a common legend.

use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{Shift, types::RangedCoordf64},
    drawing::{DrawingArea, IntoDrawingArea},
    element::{EmptyElement, PathElement, Rectangle, Text},
    prelude::{Cartesian2d, SVGBackend},
    series::{DashedLineSeries, LineSeries},
    style::{
        Color, IntoFont, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    FONT_SIZE, LEGEND_LINE, LegendPosition, WIDTH,
    axis::{ChartAxis, Ticks},
    draw_error, legend_height,
    marks::MarkStyle,
    palette::{GRID, INK, MUTED, PAPER},
    text::text_width,
    wrap_legend,
};
use crate::error::Result;

/// A pair of axes and what is drawn in them.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Panel {
    pub(in crate::report) x: ChartAxis,
    pub(in crate::report) y: ChartAxis,
    /// From back to front.
    pub(in crate::report) layers: Vec<ChartLayer>,
    /// Pixels.
    pub(in crate::report) height: u32,
}

/// A shape in one colour. Layers with a name are in the legend; a repeated name appears once.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct ChartLayer {
    pub(in crate::report) name: Option<String>,
    pub(in crate::report) colour: RGBColor,
    pub(in crate::report) shape: ChartShape,
}

/// What a layer draws, in data coordinates.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) enum ChartShape {
    Line(Vec<(f64, f64)>),
    Dashes(Vec<(f64, f64)>),
    Marks(MarkStyle, Vec<(f64, f64)>),
    /// Separate lines between pairs of points.
    Links(Vec<[(f64, f64); 2]>),
    /// Rectangles between two corners.
    Bars(Vec<[(f64, f64); 2]>),
}

impl ChartLayer {
    pub(in crate::report) fn new(name: impl Into<Option<String>>, colour: RGBColor, shape: ChartShape) -> Self {
        Self { name: name.into(), colour, shape }
    }
}

/// A drawing area in pixels.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const LINE_WIDTH: u32 = 2;
/// The smallest radius of a mark in the legend, pixels.
const LEGEND_RADIUS: f64 = 3.5;

/// The panels as an SVG that is [`WIDTH`] wide.
pub(in crate::report) fn draw(panels: &[Panel]) -> Result<String> {
    let legend = Legend::of(panels);
    let height = legend.height() + panels.iter().map(|panel| panel.height).sum::<u32>();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height.max(1))).into_drawing_area();
        root.fill(&PAPER).map_err(draw_error)?;
        let (top, mut rest) = root.split_vertically(legend.height());
        legend.draw(&top)?;
        for panel in panels {
            let (own, below) = rest.split_vertically(panel.height);
            panel.draw(&own)?;
            rest = below;
        }
        root.present().map_err(draw_error)?;
    }
    Ok(svg)
}

fn text_style(colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", FONT_SIZE).into_font().color(&colour)
}

impl Panel {
    fn draw(&self, area: &Area<'_>) -> Result<()> {
        let widest = match &self.y.ticks {
            Ticks::Names(names) => (0..names.len()).map(|i| text_width(&self.y.tick_label(i as f64), FONT_SIZE)).max(),
            _ => None,
        };
        let left = widest.map_or(64, |widest| (widest + 34).clamp(64, WIDTH / 3));
        let mut builder = ChartBuilder::on(area);
        builder.margin(6).margin_right(18).x_label_area_size(46).y_label_area_size(left);
        let chart = builder.build_cartesian_2d(self.x.low..self.x.high, self.y.low..self.y.high);
        let mut chart = chart.map_err(draw_error)?;
        let (x, y) = (|at: &f64| self.x.tick_label(*at), |at: &f64| self.y.tick_label(*at));
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(PAPER.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(MUTED)
            .label_style(text_style(INK))
            .axis_desc_style(text_style(INK))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_labels(self.x.tick_count(WIDTH - left))
            .y_labels(self.y.tick_count(self.height))
            .x_label_formatter(&x)
            .y_label_formatter(&y);
        if matches!(self.y.ticks, Ticks::Names(_)) {
            mesh.disable_y_mesh();
        }
        mesh.draw().map_err(draw_error)?;
        self.layers.iter().try_for_each(|layer| layer.draw(&mut chart, area))
    }
}

impl ChartLayer {
    fn draw(&self, chart: &mut Chart<'_, '_>, area: &Area<'_>) -> Result<()> {
        let line = ShapeStyle::from(self.colour).stroke_width(LINE_WIDTH);
        match &self.shape {
            ChartShape::Line(points) => {
                chart.draw_series(LineSeries::new(points.iter().copied(), line)).map_err(draw_error)?;
            }
            ChartShape::Dashes(points) => {
                chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6, 4, line)).map_err(draw_error)?;
            }
            ChartShape::Marks(style, points) => {
                let (left, top) = area.get_base_pixel();
                for point in points {
                    let (x, y) = chart.plotting_area().map_coordinate(point);
                    style.draw(area, (x - left, y - top), self.colour)?;
                }
            }
            ChartShape::Links(links) => {
                let thin = ShapeStyle::from(self.colour).stroke_width(1);
                chart
                    .draw_series(links.iter().map(|link| PathElement::new(link.to_vec(), thin)))
                    .map_err(draw_error)?;
            }
            ChartShape::Bars(bars) => {
                let bars = bars.iter().flat_map(|corners| {
                    [
                        Rectangle::new(*corners, self.colour.mix(0.45).filled()),
                        Rectangle::new(*corners, self.colour.stroke_width(1)),
                    ]
                });
                chart.draw_series(bars).map_err(draw_error)?;
            }
        }
        Ok(())
    }
}

/// The named layers of all panels.
struct Legend<'a> {
    named: Vec<(&'a ChartLayer, &'a str)>,
    positions: Vec<LegendPosition>,
}

impl<'a> Legend<'a> {
    fn of(panels: &'a [Panel]) -> Self {
        let mut named: Vec<(&ChartLayer, &str)> = Vec::new();
        for layer in panels.iter().flat_map(|panel| &panel.layers) {
            if let Some(name) = layer.name.as_deref().filter(|name| named.iter().all(|(_, known)| known != name)) {
                named.push((layer, name));
            }
        }
        let positions = wrap_legend(named.iter().map(|(_, name)| 30 + text_width(name, FONT_SIZE) + 16));
        Self { named, positions }
    }

    fn height(&self) -> u32 {
        legend_height(&self.positions)
    }

    fn draw(&self, area: &Area<'_>) -> Result<()> {
        for ((layer, name), at) in self.named.iter().zip(&self.positions) {
            let (x, y) = (at.x as i32, (6 + at.line * LEGEND_LINE + LEGEND_LINE / 2) as i32);
            let line = ShapeStyle::from(layer.colour).stroke_width(LINE_WIDTH);
            let stroke = |from: i32, to: i32| PathElement::new(vec![(x + from, y), (x + to, y)], line);
            match &layer.shape {
                ChartShape::Line(_) | ChartShape::Links(_) => area.draw(&stroke(0, 24)),
                ChartShape::Dashes(_) => area
                    .draw(&stroke(0, 6))
                    .and_then(|()| area.draw(&stroke(9, 15)))
                    .and_then(|()| area.draw(&stroke(18, 24))),
                ChartShape::Marks(style, _) => {
                    let style = MarkStyle { radius: style.radius.max(LEGEND_RADIUS), ..*style };
                    style.draw(area, (x + 12, y), layer.colour)?;
                    Ok(())
                }
                ChartShape::Bars(_) => {
                    area.draw(&Rectangle::new([(x + 2, y - 6), (x + 22, y + 6)], layer.colour.mix(0.45).filled()))
                }
            }
            .map_err(draw_error)?;
            let centred = Pos::new(HPos::Left, VPos::Center);
            let text =
                EmptyElement::at((x + 30, y)) + Text::new((*name).to_owned(), (0, 0), text_style(INK).pos(centred));
            area.draw(&text).map_err(draw_error)?;
        }
        Ok(())
    }
}
