// What happens in the browser alone. The URL's query is the state of every page, read by
// dashboard/view.py on the server and by `stateOf` here; controls write it, nothing else does.
(function () {
  "use strict";

  const WINDOW = "15m";
  const REFRESH = "10s";
  const REFRESH_MS = { off: 0, "10s": 10000, "30s": 30000, "1m": 60000 };
  // A page out of sight keeps its size: Cytoscape breaks in a container without one.
  const HIDDEN = { visibility: "hidden", position: "absolute", top: 0, width: "100%", zIndex: -1 };
  const unchanged = () => window.dash_clientside.no_update;

  function stateOf() {
    return new URLSearchParams(window.location.search);
  }

  function change(changes) {
    const state = stateOf();
    for (const [name, value] of Object.entries(changes)) {
      if (value) state.set(name, value);
      else state.delete(name);
    }
    const text = state.toString();
    const search = text ? "?" + text : "";
    if (search !== window.location.search) {
      window.dash_clientside.set_props("url", { search: search });
    }
  }

  function beat() {
    window.dash_clientside.set_props("pulse", { data: Date.now() });
  }

  // Nothing is asked for a tab nobody sees; one that is seen again is brought up to date.
  let missed = false;
  document.addEventListener("visibilitychange", function () {
    if (!document.hidden && missed) {
      missed = false;
      beat();
    }
  });

  // The scheme Mantine shows, by the system's wish or the toggle, is also told to the server.
  let told = "light"; // as dashboard/shell.py begins
  function tellScheme() {
    const scheme = document.documentElement.getAttribute("data-mantine-color-scheme");
    if (scheme !== told && window.dash_clientside.set_props && document.getElementById("service-graph")) {
      told = scheme;
      window.dash_clientside.set_props("scheme", { data: scheme });
    }
  }
  new MutationObserver(tellScheme).observe(document.documentElement, {
    attributeFilter: ["data-mantine-color-scheme"],
  });

  function cytoscapeOf() {
    const element = document.getElementById("service-graph");
    return element && element._cyreg && element._cyreg.cy;
  }

  // A graph that is hidden or not yet laid out has no size to fit into.
  function fitSoon(tries) {
    const cy = cytoscapeOf();
    if (cy && cy.width() > 0 && cy.nodes().length) {
      cy.resize();
      cy.fit(undefined, 36);
      if (cy.zoom() > 1.15) {
        cy.zoom(1.15);
        cy.center();
      }
      cy.scratch("meshmeterFitted", true);
    } else if (tries > 0) {
      window.requestAnimationFrame(() => fitSoon(tries - 1));
    }
  }

  function listen(cy) {
    cy.on("mouseover", "node, edge", (event) => event.target.addClass("hover"));
    cy.on("mouseout", "node, edge", (event) => event.target.removeClass("hover"));
    cy.on("tap", "edge", function (event) {
      const edge = event.target.data();
      change({ source: edge.from, destination: edge.to, service: "" });
    });
    cy.on("tap", "node", function (event) {
      change({ service: event.target.data("name"), source: "", destination: "" });
    });
    cy.on("tap", function (event) {
      if (event.target === cy) change({ source: "", destination: "", service: "" });
    });
  }

  function watch(tries) {
    const cy = cytoscapeOf();
    if (!cy) {
      if (tries > 0) window.requestAnimationFrame(() => watch(tries - 1));
      return;
    }
    if (!cy.scratch("meshmeter")) {
      cy.scratch("meshmeter", true);
      listen(cy);
    }
    if (!cy.scratch("meshmeterFitted")) fitSoon(300);
  }

  function two(number) {
    return String(number).padStart(2, "0");
  }

  function ageOf(seconds) {
    if (seconds < 60) return seconds + " s ago";
    if (seconds < 3600) return Math.floor(seconds / 60) + " min ago";
    if (seconds < 172800) return Math.floor(seconds / 3600) + " h ago";
    return Math.floor(seconds / 86400) + " days ago";
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.meshmeter = {
    // Which page is seen, and links that keep the view.
    show: function (pathname, search, paths) {
      const seen = paths.map((own) => own.includes(pathname));
      const known = seen.includes(true);
      const shown = (here) => (here ? {} : HIDDEN);
      if (seen[0]) window.requestAnimationFrame(() => watch(300));
      return [
        ...seen.map(shown),
        shown(!known),
        ...seen.map((here) => "page-link" + (here ? " here" : "")),
        ...paths.map((own) => own[own.length - 1] + (search || "")),
      ];
    },

    // The controls show what the URL says.
    follow: function (search) {
      const state = new URLSearchParams(search || "");
      const refresh = state.get("refresh") in REFRESH_MS ? state.get("refresh") : REFRESH;
      const milliseconds = REFRESH_MS[refresh];
      const own = state.get("start") && state.get("end");
      return [
        own ? "" : state.get("window") || WINDOW,
        refresh,
        milliseconds || 86400000,
        !milliseconds,
        own ? "own window" : "",
      ];
    },

    // The URL says what the controls show.
    steer: function (span, refresh) {
      const changes = { refresh: refresh === REFRESH ? "" : refresh };
      if (span) {
        changes.window = span === WINDOW ? "" : span;
        changes.start = "";
        changes.end = "";
      }
      change(changes);
    },

    choose: function (value) {
      const chosen = JSON.parse(value || "[]");
      const edge = chosen.length === 2;
      change({
        source: edge ? chosen[0] : "",
        destination: edge ? chosen[1] : "",
        service: chosen.length === 1 ? chosen[0] : "",
      });
    },

    pulse: function (ticks) {
      if (ticks && document.hidden) {
        missed = true;
        return unchanged();
      }
      return Date.now();
    },

    watch: function () {
      tellScheme();
      watch(300);
    },

    fit: function () {
      fitSoon(1);
    },

    rearrange: function () {
      const cy = cytoscapeOf();
      if (cy) cy.removeScratch("meshmeterFitted");
    },

    // "data to 14:02:31 UTC, 6 s ago"
    age: function (newest) {
      if (!newest) return "";
      if (newest.error) return newest.error;
      if (!newest.newest_ms) return "no data yet";
      const when = new Date(newest.newest_ms);
      const time = [when.getUTCHours(), when.getUTCMinutes(), when.getUTCSeconds()].map(two).join(":");
      const seconds = Math.max(0, Math.round((Date.now() - newest.newest_ms) / 1000));
      return "data to " + time + " UTC, " + ageOf(seconds);
    },
  };
})();
