//! Charts with axes: panels, one above the other, with one legend.

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
    LEGEND_LINE, LETTERS, WIDTH,
    axis::{Axis, Ticks},
    bug, in_lines, legend_height,
    marks::Mark,
    palette::{GRID, INK, MUTED, PAPER},
    text_width,
};
use crate::error::Result;

/// A chart with axes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Panel {
    pub(in crate::report) x: Axis,
    pub(in crate::report) y: Axis,
    /// What is drawn, the first at the back.
    pub(in crate::report) layers: Vec<Layer>,
    /// Pixels.
    pub(in crate::report) height: u32,
}

/// Something that is drawn in one colour. Those with a name stand in the legend, each name once.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Layer {
    pub(in crate::report) name: Option<String>,
    pub(in crate::report) colour: RGBColor,
    pub(in crate::report) shape: Shape,
}

/// What a layer draws, in the units of the axes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) enum Shape {
    Line(Vec<(f64, f64)>),
    Dashes(Vec<(f64, f64)>),
    Marks {
        mark: Mark,
        radius: f64,
        outlined: bool,
        at: Vec<(f64, f64)>,
    },
    /// Lines from one place to another.
    Links(Vec<[(f64, f64); 2]>),
    /// Bars between two corners.
    Bars(Vec<[(f64, f64); 2]>),
}

impl Layer {
    pub(in crate::report) fn new(name: impl Into<Option<String>>, colour: RGBColor, shape: Shape) -> Self {
        Self { name: name.into(), colour, shape }
    }
}

/// Where pixels are drawn.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const LINE: u32 = 2;

/// The panels as SVG, [`WIDTH`] wide.
pub(in crate::report) fn draw(panels: &[Panel]) -> Result<String> {
    let legend = Legend::of(panels);
    let height = legend.height() + panels.iter().map(|panel| panel.height).sum::<u32>();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height.max(1))).into_drawing_area();
        root.fill(&PAPER).map_err(bug)?;
        let (top, mut rest) = root.split_vertically(legend.height());
        legend.draw(&top)?;
        for panel in panels {
            let (own, below) = rest.split_vertically(panel.height);
            panel.draw(&own)?;
            rest = below;
        }
        root.present().map_err(bug)?;
    }
    Ok(svg)
}

fn letters(colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&colour)
}

impl Panel {
    fn draw(&self, area: &Area<'_>) -> Result<()> {
        let widest = match &self.y.ticks {
            Ticks::Names(names) => (0..names.len()).map(|i| text_width(&self.y.tick(i as f64), LETTERS)).max(),
            _ => None,
        };
        let left = widest.map_or(64, |widest| (widest + 34).clamp(64, WIDTH / 3));
        let mut builder = ChartBuilder::on(area);
        builder.margin(6).margin_right(18).x_label_area_size(46).y_label_area_size(left);
        let chart = builder.build_cartesian_2d(self.x.low..self.x.high, self.y.low..self.y.high);
        let mut chart = chart.map_err(bug)?;
        let (x, y) = (|at: &f64| self.x.tick(*at), |at: &f64| self.y.tick(*at));
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(PAPER.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(MUTED)
            .label_style(letters(INK))
            .axis_desc_style(letters(INK))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_labels(self.x.asked(WIDTH - left))
            .y_labels(self.y.asked(self.height))
            .x_label_formatter(&x)
            .y_label_formatter(&y);
        if matches!(self.y.ticks, Ticks::Names(_)) {
            mesh.disable_y_mesh();
        }
        mesh.draw().map_err(bug)?;
        self.layers.iter().try_for_each(|layer| layer.draw(&mut chart, area))
    }
}

impl Layer {
    fn draw(&self, chart: &mut Chart<'_, '_>, area: &Area<'_>) -> Result<()> {
        let line = ShapeStyle::from(self.colour).stroke_width(LINE);
        match &self.shape {
            Shape::Line(points) => {
                chart.draw_series(LineSeries::new(points.iter().copied(), line)).map_err(bug)?;
            }
            Shape::Dashes(points) => {
                chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6, 4, line)).map_err(bug)?;
            }
            Shape::Marks { mark, radius, outlined, at } => {
                let (left, top) = area.get_base_pixel();
                for at in at {
                    let (x, y) = chart.plotting_area().map_coordinate(at);
                    mark.draw(area, (x - left, y - top), *radius, self.colour, *outlined)?;
                }
            }
            Shape::Links(links) => {
                let thin = ShapeStyle::from(self.colour).stroke_width(1);
                chart.draw_series(links.iter().map(|link| PathElement::new(link.to_vec(), thin))).map_err(bug)?;
            }
            Shape::Bars(bars) => {
                let bars = bars.iter().flat_map(|corners| {
                    [
                        Rectangle::new(*corners, self.colour.mix(0.45).filled()),
                        Rectangle::new(*corners, self.colour.stroke_width(1)),
                    ]
                });
                chart.draw_series(bars).map_err(bug)?;
            }
        }
        Ok(())
    }
}

/// The names of all panels, each once, in lines that fit.
struct Legend<'a> {
    named: Vec<(&'a Layer, &'a str)>,
    places: Vec<(u32, u32)>,
}

impl<'a> Legend<'a> {
    fn of(panels: &'a [Panel]) -> Self {
        let mut named: Vec<(&Layer, &str)> = Vec::new();
        for layer in panels.iter().flat_map(|panel| &panel.layers) {
            if let Some(name) = layer.name.as_deref().filter(|name| named.iter().all(|(_, known)| known != name)) {
                named.push((layer, name));
            }
        }
        let places = in_lines(named.iter().map(|(_, name)| 30 + text_width(name, LETTERS) + 16));
        Self { named, places }
    }

    fn height(&self) -> u32 {
        legend_height(&self.places)
    }

    fn draw(&self, area: &Area<'_>) -> Result<()> {
        for ((layer, name), (x, line)) in self.named.iter().zip(&self.places) {
            let (x, y) = (*x as i32, (6 + line * LEGEND_LINE + LEGEND_LINE / 2) as i32);
            let line = ShapeStyle::from(layer.colour).stroke_width(LINE);
            let stroke = |from: i32, to: i32| PathElement::new(vec![(x + from, y), (x + to, y)], line);
            match &layer.shape {
                Shape::Line(_) | Shape::Links(_) => area.draw(&stroke(0, 24)),
                Shape::Dashes(_) => area
                    .draw(&stroke(0, 6))
                    .and_then(|()| area.draw(&stroke(9, 15)))
                    .and_then(|()| area.draw(&stroke(18, 24))),
                Shape::Marks { mark, radius, outlined, .. } => {
                    mark.draw(area, (x + 12, y), radius.max(3.5), layer.colour, *outlined)?;
                    Ok(())
                }
                Shape::Bars(_) => {
                    area.draw(&Rectangle::new([(x + 2, y - 6), (x + 22, y + 6)], layer.colour.mix(0.45).filled()))
                }
            }
            .map_err(bug)?;
            let middle = Pos::new(HPos::Left, VPos::Center);
            let text = EmptyElement::at((x + 30, y)) + Text::new((*name).to_owned(), (0, 0), letters(INK).pos(middle));
            area.draw(&text).map_err(bug)?;
        }
        Ok(())
    }
}
