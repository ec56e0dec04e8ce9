/* The search runs in a worker, which browsers start from a server alone. Where the site is opened as files, a frame that
   nobody sees stands in for it: it loads the same script, and messages go to and fro as the worker's would. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #waiting = [];
    #frame = document.createElement("iframe");

    constructor(script) {
      super();
      const begin = "<!doctype html><script>postMessage = (data) => frameElement.answer(data)</" + "script>";
      this.#frame.hidden = true;
      this.#frame.answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.#frame.srcdoc = begin + `<script src="${new URL(script, location)}"></` + "script>";
      this.#frame.addEventListener("load", () => this.#waiting.splice(0).forEach((data) => this.#send(data)));
      document.documentElement.append(this.#frame);
    }

    postMessage(data) {
      const page = this.#frame.contentDocument;
      if (page && page.readyState === "complete" && page.scripts.length) this.#send(data);
      else this.#waiting.push(data);
    }

    #send(data) {
      this.#frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
