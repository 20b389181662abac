/* Scenes of dynlib/report/scene.py, drawn by the plotly.min.js beside this file. It is 4.8 MB, so it
   is loaded when a reader first opens a scene and never with the page. */
(() => {
  "use strict";
  const here = document.currentScript.src; // gone once this script has run
  const root = document.documentElement;
  const opened = new Set(); // what redraws each open scene
  let [library, able] = [null, null];

  function plotly() {
    library ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL("plotly.min.js", here).href;
      script.onload = () => (window.Plotly ? resolve(window.Plotly) : script.onerror());
      script.onerror = () => {
        library = null; // the next click tries again
        script.remove();
        reject(new Error("its drawing library, plotly.min.js, did not load"));
      };
      document.head.append(script);
    });
    return library;
  }

  function webgl() {
    const canvas = document.createElement("canvas");
    able ??= Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
    return able; // asked once: a browser gives a page few such contexts
  }

  function picture(data, camera) {
    const ground = root.dataset.theme === "dark" ? 1 : 0;
    const [ink, grid] = [data.ink[ground], data.grid[ground]];
    const axis = (title) => ({
      title: { text: title, font: { color: ink, size: 15 } },
      tickfont: { color: ink, size: 11 },
      nticks: 5,
      color: ink,
      gridcolor: grid,
      zerolinecolor: grid,
      linecolor: grid,
      showbackground: false,
      showspikes: false,
    });
    const traces = data.curves.map((curve) => ({
      type: "scatter3d",
      mode: "lines",
      name: curve.label,
      x: curve.x,
      y: curve.y,
      z: curve.z,
      line: { color: curve.colour[ground], width: 3 },
      hoverinfo: "name+x+y+z",
      hoverlabel: { namelength: -1 },
    }));
    const [xaxis, yaxis, zaxis] = data.axes.map(axis);
    const layout = {
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 0, r: 0, t: 0, b: 0 },
      showlegend: true,
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
      scene: {
        ...{ xaxis, yaxis, zaxis, camera },
        aspectmode: "cube",
        dragmode: "turntable",
        bgcolor: "rgba(0,0,0,0)",
      },
      uirevision: "kept", // a redraw in other colours keeps the curves that the reader chose
    };
    const plain = { displayModeBar: false, displaylogo: false, showTips: false };
    return [traces, layout, { ...plain, responsive: true }];
  }

  /* The eye starts where Matplotlib's does, so that scene and figure agree; the narrower the
     screen, the further away, so that the axes fit. */
  function view(stage) {
    const [across, up] = [-Math.PI / 3, Math.PI / 6];
    const far = Math.max(2.4, 1100 / stage.clientWidth);
    return { eye: around(across, up, far), center: { x: 0, y: 0, z: -0.15 } };
  }

  /* Where it stands now: the layout's own note of it lags behind a wheel. */
  const current = (stage) => stage._fullLayout.scene._scene.getCamera();

  function around(across, up, far) {
    const flat = far * Math.cos(up);
    return { x: flat * Math.cos(across), y: flat * Math.sin(across), z: far * Math.sin(up) };
  }

  /* The arrow keys turn the scene about its vertical axis, or raise and lower the eye. */
  function turn(event, Plotly, stage) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!(event.key in step)) return;
    event.preventDefault();
    const [across, up] = step[event.key].map((sign) => (sign * Math.PI) / 24);
    const { x, y, z } = current(stage).eye;
    const far = Math.hypot(x, y, z);
    const height = Math.max(-1.5, Math.min(1.5, Math.asin(z / far) + up)); // short of the poles
    const eye = around(Math.atan2(y, x) + across, height, far);
    Plotly.relayout(stage, { "scene.camera.eye": eye });
  }

  function enliven(scene) {
    const data = JSON.parse(scene.querySelector("script").textContent);
    const [note, button] = [scene.querySelector("p"), scene.querySelector("button")];
    const name = button.textContent;
    let close = null;
    note.textContent = "";
    note.setAttribute("role", "status"); // so that what is said here is also read out
    button.hidden = false;

    async function open() {
      const stage = document.createElement("div");
      let redraw = null;
      close = () => {
        opened.delete(redraw);
        if (window.Plotly) window.Plotly.purge(stage);
        stage.remove();
        button.textContent = name;
        note.textContent = "";
        close = null;
      };
      stage.className = "scene3d-stage";
      stage.tabIndex = 0;
      stage.setAttribute("role", "img");
      stage.setAttribute("aria-label", scene.getAttribute("aria-label"));
      button.textContent = "Close";
      note.textContent = "Loading …";
      scene.append(stage);
      const mine = close;
      try {
        if (!webgl()) throw new Error("this browser does not offer WebGL");
        const Plotly = await plotly();
        if (close !== mine) return; // closed again while it loaded
        redraw = () => {
          const camera = stage._fullLayout ? current(stage) : view(stage);
          return Plotly.react(stage, ...picture(data, camera));
        };
        opened.add(redraw);
        await redraw();
        if (close !== mine) return;
        stage.addEventListener("keydown", (event) => turn(event, Plotly, stage));
        note.textContent = "Drag to turn, scroll or pinch to zoom; the arrow keys turn it too.";
      } catch (error) {
        if (close !== mine) return;
        close();
        note.textContent = `The 3-D view cannot be shown: ${error.message}.`;
      }
    }

    button.addEventListener("click", () => (close ? close() : open()));
  }

  document.querySelectorAll(".scene3d").forEach(enliven);
  new MutationObserver(() => opened.forEach((redraw) => redraw())).observe(root, {
    attributes: true,
    attributeFilter: ["data-theme"],
  });
})();
