"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const scenes = all(".scene");
  const jump = document.getElementById("jump");
  const root = document.documentElement;

  // Sounds and pictures come last in the file, so the page is there before they are.
  let parsed = document.readyState !== "loading";
  const whole = new Promise((resolve) => {
    if (parsed) resolve();
    else document.addEventListener("DOMContentLoaded", () => { parsed = true; resolve(); });
  });
  async function content(id) {
    const early = document.getElementById(id);
    if (!parsed && !(early && early.nextElementSibling)) await whole;
    return document.getElementById(id).textContent;
  }
  async function show(image, id) {
    image.dataset.blob = id;
    const data = await content(id);
    if (image.dataset.blob === id) image.src = "data:image/png;base64," + data;
  }
  const addresses = new Map();
  async function address(id) {
    if (!addresses.has(id)) {
      const bytes = Uint8Array.from(atob(await content(id)), (letter) => letter.charCodeAt(0));
      addresses.set(id, URL.createObjectURL(new Blob([bytes], { type: "audio/mpeg" })));
    }
    return addresses.get(id);
  }

  const pictures = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      pictures.unobserve(entry.target);
      show(entry.target, entry.target.dataset.blob);
    }
  }, { rootMargin: "700px" });
  all("img[data-blob]").forEach((image) => pictures.observe(image));
  addEventListener("beforeprint", () => {
    for (const image of all("img[data-blob]:not([src])")) {
      const held = document.getElementById(image.dataset.blob);
      if (held) image.src = "data:image/png;base64," + held.textContent;
    }
  });

  // One player per scene: another sound goes on where the last one was.
  class Player {
    constructor(scene) {
      this.scene = scene;
      this.seconds = Number(scene.dataset.seconds);
      this.stage = scene.querySelector(".stage");
      this.seek = scene.querySelector(".seek");
      this.clock = scene.querySelector(".clock");
      this.chosen = scene.querySelector('.stem[aria-pressed="true"]');
      this.audio = document.createElement("audio");
      this.audio.preload = "auto";
      scene.querySelector(".player").append(this.audio);
      this.at = 0;
      for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.changed());
    }
    async load() {
      const source = await address(this.chosen.dataset.audio);
      if (this.audio.src === source) return;
      this.audio.src = source;
      await new Promise((resolve, reject) => {
        this.audio.addEventListener("loadedmetadata", resolve, { once: true });
        this.audio.addEventListener("error", reject, { once: true });
      });
      this.audio.currentTime = Math.min(this.at, this.audio.duration);
    }
    async play() {
      for (const other of players.values()) if (other !== this) other.audio.pause();
      this.scene.classList.add("touched");
      if (this.at >= this.seconds - 0.05) this.move(0);
      await this.load();
      await this.audio.play();
    }
    toggle() {
      if (this.audio.paused) this.play().catch(() => this.changed());
      else this.audio.pause();
    }
    async choose(button) {
      const playing = !this.audio.paused;
      const again = button === this.chosen;
      if (again && playing) return this.audio.pause();
      this.audio.pause();
      this.chosen.setAttribute("aria-pressed", "false");
      this.chosen = button;
      button.setAttribute("aria-pressed", "true");
      const now = this.scene.querySelector(".now b");
      now.textContent = button.textContent === "Mixture" ? "Mixture" : button.dataset.said.replace(/^./, (c) => c.toUpperCase());
      show(this.stage.querySelector("img"), button.dataset.image);
      await this.play();
    }
    move(at) {
      this.at = Math.max(0, Math.min(at, this.seconds));
      this.scene.classList.add("touched");
      if (this.audio.readyState > 0) this.audio.currentTime = Math.min(this.at, this.audio.duration);
      this.draw();
    }
    changed() {
      const playing = !this.audio.paused && !this.audio.ended;
      this.scene.classList.toggle("playing", playing);
      this.scene.querySelector(".play").setAttribute("aria-label", playing ? "Pause" : "Play");
      if (playing) this.follow();
      else if (this.audio.ended) { this.at = this.seconds; this.draw(); }
    }
    follow() {
      if (this.audio.paused) return;
      this.at = this.audio.currentTime;
      this.draw();
      requestAnimationFrame(() => this.follow());
    }
    draw() {
      this.stage.style.setProperty("--p", this.at / this.seconds);
      this.seek.value = this.at;
      this.clock.textContent = `${this.at.toFixed(1)} / ${this.seconds.toFixed(1)} s`;
    }
  }
  const players = new Map();
  function player(scene) {
    if (!players.has(scene)) players.set(scene, new Player(scene));
    return players.get(scene);
  }

  document.addEventListener("click", (event) => {
    const scene = event.target.closest(".scene");
    if (!scene) return;
    const stem = event.target.closest(".stem");
    if (stem) player(scene).choose(stem).catch(() => player(scene).changed());
    else if (event.target.closest(".play")) player(scene).toggle();
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches(".seek")) player(event.target.closest(".scene")).move(Number(event.target.value));
  });
  function pointed(event) {
    const field = event.target.closest(".plot, .track");
    if (!field || (event.type === "pointermove" && event.buttons !== 1)) return;
    const box = field.getBoundingClientRect();
    const one = player(field.closest(".scene"));
    one.move(((event.clientX - box.left) / box.width) * one.seconds);
  }
  document.addEventListener("pointerdown", pointed);
  document.addEventListener("pointermove", pointed);

  // Which scene is meant: the one at the upper third of the window.
  let current = -1;
  function look() {
    const line = innerHeight * 0.36;
    let found = -1;
    scenes.forEach((scene, n) => { if (scene.getBoundingClientRect().top <= line) found = n; });
    if (found !== current) {
      current = found;
      jump.value = found < 0 ? "main" : scenes[found].id;
    }
  }
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; look(); });
  }, { passive: true });
  function go(n) {
    if (n < 0) return scrollTo({ top: 0 });
    const scene = scenes[Math.min(n, scenes.length - 1)];
    scene.scrollIntoView({ block: "start" });
    scene.focus({ preventScroll: true });
    current = scenes.indexOf(scene);
    jump.value = scene.id;
  }
  document.getElementById("next").addEventListener("click", () => go(current + 1));
  document.getElementById("previous").addEventListener("click", () => go(current - 1));
  jump.addEventListener("change", () => go(scenes.findIndex((scene) => scene.id === jump.value)));

  function dark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function theme() {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("s5kit-theme", root.dataset.theme); } catch { /* no storage: not remembered */ }
  }
  try {
    const kept = localStorage.getItem("s5kit-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* no storage: as the system has it */ }
  document.getElementById("theme").addEventListener("click", theme);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    const scene = event.target.closest(".scene") || scenes[Math.max(current, 0)];
    const stems = all(".stem", scene);
    const native = event.target.matches("button, summary, input, pre");
    if (event.key === "j") go(current + 1);
    else if (event.key === "k") go(current - 1);
    else if (event.key === "t") theme();
    else if (event.key === " " && !event.target.matches("button, summary")) player(scene).toggle();
    else if (event.key === "ArrowRight" && !native) player(scene).move(player(scene).at + 1);
    else if (event.key === "ArrowLeft" && !native) player(scene).move(player(scene).at - 1);
    else if (/^[1-9]$/.test(event.key) && stems[event.key - 1]) player(scene).choose(stems[event.key - 1]).catch(() => {});
    else return;
    event.preventDefault();
  });
  look();
})();
