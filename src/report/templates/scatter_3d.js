// Rotates three-dimensional scatter plots by mouse, touch, arrow keys or a button. A canvas replaces the static part of the
// SVG; it draws the same data as chart/scatter_3d.rs.
"use strict";
(() => {
  const start = (figure) => {
    const scatter = JSON.parse(figure.dataset.scatter3d);
    const [width, height] = [scatter.width, scatter.height];
    const svg = figure.querySelector("svg");
    svg.querySelector("[data-static]").remove();
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${figure.getAttribute("aria-label")}: rotate with the arrow keys, zoom with plus and minus`);
    const button = document.createElement("button");
    button.type = "button";
    figure.append(canvas, button);
    figure.dataset.ready = "";

    let [azimuth, elevation] = scatter.view;
    let zoom = 1;
    let isDrawn = false;

    // The points of all series, to be sorted by depth.
    const points = scatter.series.flatMap(({ colour, mark, points }) => {
      const all = [];
      for (let i = 0; i < points.length; i += 3) all.push({ colour, mark, at: points.slice(i, i + 3), x: 0, y: 0, size: 1, depth: 0 });
      return all;
    });
    const projection = () => {
      const [a, e] = [(azimuth * Math.PI) / 180, (elevation * Math.PI) / 180];
      const [sinA, cosA, sinE, cosE] = [Math.sin(a), Math.cos(a), Math.sin(e), Math.cos(e)];
      return ([x, y, z], projected) => {
        const [right, away] = [(cosA * x + sinA * y) / 1000, (cosA * y - sinA * x) / 1000];
        projected.depth = cosE * away - (sinE * z) / 1000;
        projected.size = (zoom * scatter.eye) / (scatter.eye + projected.depth);
        projected.x = scatter.centre[0] + scatter.unit * projected.size * right;
        projected.y = scatter.centre[1] - scatter.unit * projected.size * ((cosE * z) / 1000 + sinE * away);
        return projected;
      };
    };

    const draw = () => {
      isDrawn = true;
      const box = svg.getBoundingClientRect();
      const frame = figure.getBoundingClientRect();
      canvas.style.cssText = `left:${box.left - frame.left}px;top:${box.top - frame.top}px;width:${box.width}px;height:${box.height}px`;
      const pixels = (box.width / width) * (devicePixelRatio || 1);
      const [wide, high] = [Math.round(width * pixels), Math.round(height * pixels)];
      if (canvas.width !== wide) canvas.width = wide;
      if (canvas.height !== high) canvas.height = high;
      const pen = canvas.getContext("2d");
      pen.setTransform(pixels, 0, 0, pixels, 0, 0);
      pen.clearRect(0, 0, width, height);
      // Clip to the area between the legend and the ranges of the axes.
      pen.save();
      pen.beginPath();
      pen.rect(0, scatter.top, width, scatter.bottom - scatter.top);
      pen.clip();
      const style = getComputedStyle(document.documentElement);
      const theme = (name) => style.getPropertyValue(`--chart-${name}`) || scatter.theme[name];
      const [ink, muted, grid] = ["ink", "muted", "grid"].map(theme);
      // As in page.css, the darkest class colour has a rim in dark mode.
      const rimOf = (colour) => colour === "#003F5C" && style.getPropertyValue("--chart-rim");
      const project = projection();
      const line = (from, to, colour) => {
        const [a, b] = [project(from, {}), project(to, {})];
        pen.strokeStyle = colour;
        pen.lineWidth = 1;
        pen.beginPath();
        pen.moveTo(a.x, a.y);
        pen.lineTo(b.x, b.y);
        pen.stroke();
      };
      scatter.edges.forEach(([from, to], i) => line(from, to, i < 3 ? muted : grid));
      for (let i = 0; i < scatter.links.length; i += 6) line(scatter.links.slice(i, i + 3), scatter.links.slice(i + 3, i + 6), ink);
      points.forEach((point) => project(point.at, point));
      points.sort((a, b) => b.depth - a.depth);
      for (const { colour, mark, x, y, size } of points) {
        const radius = mark.radius * size;
        pen.fillStyle = colour;
        pen.strokeStyle = rimOf(colour) || colour;
        pen.lineWidth = 2;
        pen.beginPath();
        if (mark.is_circle) pen.arc(x, y, radius, 0, 2 * Math.PI);
        for (const line of mark.lines) {
          line.forEach(([dx, dy], i) => (i === 0 ? pen.moveTo : pen.lineTo).call(pen, x + radius * dx, y + radius * dy));
        }
        if (!mark.is_filled) {
          pen.stroke();
          continue;
        }
        pen.closePath();
        pen.fill();
        const rim = mark.is_outlined ? ink : rimOf(colour);
        if (rim) {
          pen.strokeStyle = rim;
          pen.lineWidth = 1;
          pen.stroke();
        }
      }
      pen.fillStyle = ink;
      pen.font = "13px sans-serif";
      pen.textAlign = "center";
      scatter.edges.slice(0, 3).forEach(([, end], i) => {
        const { x, y } = project(end.map((along) => along * scatter.axis_number), {});
        pen.fillText(i + 1, x, y + 4.5);
      });
      pen.restore();
      canvas.dataset.azimuth = azimuth.toFixed(1);
      canvas.dataset.elevation = elevation.toFixed(1);
      canvas.dataset.zoom = zoom.toFixed(2);
    };
    const redraw = () => {
      if (isDrawn) requestAnimationFrame(() => isDrawn || draw());
      isDrawn = false;
    };
    const rotate = (right, up) => {
      azimuth = (((azimuth + right) % 360) + 360) % 360;
      elevation = Math.min(Math.max(elevation + up, -90), 90);
      redraw();
    };
    const scale = (factor) => {
      zoom = Math.min(Math.max(zoom * factor, 0.5), 8);
      redraw();
    };

    let animation = 0;
    const step = (last) => (now) => {
      if (!canvas.isConnected) return;
      rotate((now - last) * 0.06, 0);
      animation = requestAnimationFrame(step(now));
    };
    const play = (isWanted) => {
      cancelAnimationFrame(animation);
      animation = isWanted ? requestAnimationFrame(step(performance.now())) : 0;
      button.textContent = isWanted ? "stop" : "rotate";
      button.setAttribute("aria-pressed", String(isWanted));
    };
    button.addEventListener("click", () => play(animation === 0));
    play(false);

    canvas.addEventListener("pointerdown", (event) => {
      play(false);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) rotate(-0.4 * event.movementX, 0.4 * event.movementY);
    });
    canvas.addEventListener("keydown", (event) => {
      const keys = {
        ArrowLeft: () => rotate(5, 0),
        ArrowRight: () => rotate(-5, 0),
        ArrowUp: () => rotate(0, -5),
        ArrowDown: () => rotate(0, 5),
        "+": () => scale(1.2),
        "=": () => scale(1.2),
        "-": () => scale(1 / 1.2),
        " ": () => play(animation === 0),
        Home: () => {
          [azimuth, elevation] = scatter.view;
          zoom = 1;
          redraw();
        },
      };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    new ResizeObserver(redraw).observe(svg);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    draw();
  };

  const all = () => document.querySelectorAll("[data-scatter3d]:not([data-ready])").forEach(start);
  document.addEventListener("lucarne:sections", all);
  all();
})();
