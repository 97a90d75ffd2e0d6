// The page's Content-Security-Policy allows styles only with this request's nonce. Libraries that make <style> elements or write
// style attributes are brought in line here: elements get the nonce when they are created, attributes go through the CSSOM.

/** The nonce of this page, which the browser hides from the attribute but not from the property. */
export function pageNonce(): string {
  const script = document.querySelector<HTMLScriptElement>("script[nonce]");
  return script?.nonce ?? "";
}

/** Stamps every <style> that is created from now on. */
export function stampStyles(nonce: string): void {
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const element = create(name, options);
    if (name.toLowerCase() === "style") element.setAttribute("nonce", nonce);
    return element;
  }) as typeof document.createElement;
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name: string, value: string) {
    if (name === "style" && this instanceof HTMLElement) this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}
