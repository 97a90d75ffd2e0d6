// Who can reach whom: one cell is in the tab order, arrows move, and the rule that decided stands below. For keyboards and fingers,
// which have no pointer to hover with. The table is replaced whenever the cluster changes; the cell that was chosen stays chosen.

interface Place {
  row: number;
  column: number;
}

/** Where a key leads from a cell of a square of `size`; null for a key that is not ours. */
export function move(key: string, { row, column }: Place, size: number): Place | null {
  const last = size - 1;
  const to = (row: number, column: number) => ({ row: Math.min(last, Math.max(0, row)), column: Math.min(last, Math.max(0, column)) });
  switch (key) {
    case "ArrowRight": return to(row, column + 1);
    case "ArrowLeft": return to(row, column - 1);
    case "ArrowDown": return to(row + 1, column);
    case "ArrowUp": return to(row - 1, column);
    case "Home": return to(row, 0);
    case "End": return to(row, last);
    default: return null;
  }
}

const id = ({ row, column }: Place) => `cell-${row}-${column}`;

function cellOf(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>(".matrix .cell") : null;
}

export function startMatrix(): void {
  let chosen: string | null = null;

  const choose = (cell: HTMLElement) => {
    for (const other of document.querySelectorAll<HTMLElement>(".matrix .cell[tabindex='0']")) other.tabIndex = -1;
    cell.tabIndex = 0;
    chosen = cell.id;
    const why = document.getElementById("matrix-why");
    if (why) why.textContent = cell.title;
  };

  for (const event of ["focusin", "click"]) {
    document.addEventListener(event, ({ target }) => {
      const cell = cellOf(target);
      if (cell) choose(cell);
    });
  }
  document.addEventListener("keydown", (event) => {
    const cell = cellOf(event.target);
    const [, row, column] = cell?.id.split("-") ?? [];
    const size = cell?.closest("tr")?.querySelectorAll(".cell").length ?? 0;
    const next = move(event.key, { row: Number(row), column: Number(column) }, size);
    if (!cell || !next || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    document.getElementById(id(next))?.focus();
  });
  document.addEventListener("cordon:replaced", () => {
    const again = chosen ? document.getElementById(chosen) : null;
    if (again) choose(again);
  });
}
