// Turns pictures of points in three dimensions: by the mouse or a finger, by the arrow keys, by a button. It draws what
// chart/space.rs draws, from the same numbers, on a canvas over the part of the picture that stands still.
"use strict";
(() => {
  const start = (figure) => {
    const space = JSON.parse(figure.dataset.space);
    const [width, height] = [space.width, space.height];
    const svg = figure.querySelector("svg");
    svg.querySelector("[data-still]").remove();
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${figure.getAttribute("aria-label")}: arrow keys turn it, plus and minus change its size`);
    const button = document.createElement("button");
    button.type = "button";
    figure.append(canvas, button);
    figure.dataset.ready = "";

    let [azimuth, elevation] = space.view;
    let zoom = 1;
    let isDrawn = false;

    // Marks of all clouds, in one order by depth.
    const marks = space.clouds.flatMap((cloud) => {
      const places = [];
      for (let i = 0; i < cloud.at.length; i += 3) places.push({ cloud, at: cloud.at.slice(i, i + 3), x: 0, y: 0, size: 1, depth: 0 });
      return places;
    });
    const projection = () => {
      const [a, e] = [(azimuth * Math.PI) / 180, (elevation * Math.PI) / 180];
      const [sinA, cosA, sinE, cosE] = [Math.sin(a), Math.cos(a), Math.sin(e), Math.cos(e)];
      return ([x, y, z], seen) => {
        const [right, away] = [(cosA * x + sinA * y) / 1000, (cosA * y - sinA * x) / 1000];
        seen.depth = cosE * away - (sinE * z) / 1000;
        seen.size = (zoom * space.eye) / (space.eye + seen.depth);
        seen.x = space.middle[0] + space.unit * seen.size * right;
        seen.y = space.middle[1] - space.unit * seen.size * ((cosE * z) / 1000 + sinE * away);
        return seen;
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
      // Between the legend and the ranges of the axes.
      pen.save();
      pen.beginPath();
      pen.rect(0, space.top, width, space.bottom - space.top);
      pen.clip();
      const style = getComputedStyle(document.documentElement);
      const [ink, muted, grid] = ["--ink", "--muted", "--line"].map((name) => style.getPropertyValue(name));
      const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
      const see = projection();
      const line = (from, to, colour) => {
        const [a, b] = [see(from, {}), see(to, {})];
        pen.strokeStyle = colour;
        pen.lineWidth = 1;
        pen.beginPath();
        pen.moveTo(a.x, a.y);
        pen.lineTo(b.x, b.y);
        pen.stroke();
      };
      space.edges.forEach(([from, to], i) => line(from, to, i < 3 ? muted : grid));
      for (let i = 0; i < space.links.length; i += 6) line(space.links.slice(i, i + 3), space.links.slice(i + 3, i + 6), ink);
      marks.forEach((mark) => see(mark.at, mark));
      marks.sort((a, b) => b.depth - a.depth);
      for (const { cloud, x, y, size } of marks) {
        const radius = cloud.radius * size;
        pen.fillStyle = pen.strokeStyle = cloud.colour;
        pen.lineWidth = 2;
        pen.beginPath();
        if (cloud.form === "cross") {
          pen.moveTo(x - radius, y - radius);
          pen.lineTo(x + radius, y + radius);
          pen.moveTo(x - radius, y + radius);
          pen.lineTo(x + radius, y - radius);
          pen.stroke();
          continue;
        }
        if (cloud.form === "corners") cloud.corners.forEach(([dx, dy]) => pen.lineTo(x + radius * dx, y + radius * dy));
        else pen.arc(x, y, radius, 0, 2 * Math.PI);
        pen.closePath();
        if (cloud.form === "ring") {
          pen.stroke();
          continue;
        }
        pen.fill();
        // The darkest class is lost on dark paper without a rim, as in page.css.
        const rim = cloud.outlined ? ink : isDark && cloud.colour === "#003F5C" ? "#9fc3d6" : null;
        if (rim) {
          pen.strokeStyle = rim;
          pen.lineWidth = 1;
          pen.stroke();
        }
      }
      pen.fillStyle = ink;
      pen.font = "13px sans-serif";
      pen.textAlign = "center";
      space.edges.slice(0, 3).forEach(([, end], i) => {
        const { x, y } = see(end.map((along) => along * space.named), {});
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
    const turn = (right, up) => {
      azimuth = (((azimuth + right) % 360) + 360) % 360;
      elevation = Math.min(Math.max(elevation + up, -90), 90);
      redraw();
    };
    const scale = (factor) => {
      zoom = Math.min(Math.max(zoom * factor, 0.5), 8);
      redraw();
    };

    let turning = 0;
    const step = (last) => (now) => {
      if (!canvas.isConnected) return;
      turn((now - last) * 0.06, 0);
      turning = requestAnimationFrame(step(now));
    };
    const play = (isWanted) => {
      cancelAnimationFrame(turning);
      turning = isWanted ? requestAnimationFrame(step(performance.now())) : 0;
      button.textContent = isWanted ? "stop" : "turn";
      button.setAttribute("aria-pressed", String(isWanted));
    };
    button.addEventListener("click", () => play(turning === 0));
    play(false);

    canvas.addEventListener("pointerdown", (event) => {
      play(false);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) turn(-0.4 * event.movementX, 0.4 * event.movementY);
    });
    canvas.addEventListener("keydown", (event) => {
      const keys = {
        ArrowLeft: () => turn(5, 0),
        ArrowRight: () => turn(-5, 0),
        ArrowUp: () => turn(0, -5),
        ArrowDown: () => turn(0, 5),
        "+": () => scale(1.2),
        "=": () => scale(1.2),
        "-": () => scale(1 / 1.2),
        " ": () => play(turning === 0),
        Home: () => {
          [azimuth, elevation] = space.view;
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

  const all = () => document.querySelectorAll("[data-space]:not([data-ready])").forEach(start);
  document.addEventListener("lucarne:sections", all);
  all();
})();
