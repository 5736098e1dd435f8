"""A table tells what models have learnt at equal training time, and who is ahead from when."""

import pandas as pd

from report.reading.curves import bits_at, has_seconds, lead_of, mean_curve, shortest_training_s
from report.reading.leads import lead_text, rival_of, trained_names
from report.reading.series import View
from report.text import interval_text


def curves_table(view: View) -> pd.DataFrame | None:
    """Return a row per trained model; None where no two trainings tell their seconds.

    Beside the bits per dim at its own end there are those at its last evaluation before the first
    of all models was done, and how it stands to the dense model at equal time.
    """
    named = [(name, case) for name, _, case in trained_names(view) if has_seconds(case)]
    moment = shortest_training_s([case for _, case in named])
    if len(named) < 2 or moment is None:
        return None
    names = {id(case): name for name, case in named}
    rows = []
    for name, case in named:
        end, rival = mean_curve(case)[-1], rival_of(view, case)
        lead = lead_of(case, rival) if rival and rival is not case else None
        rows.append(
            {
                "model": name,
                "training": f"{end.seconds:,.0f} s",
                "bits per dim at its end": interval_text(end.bits, 3),
                f"evaluated last within {moment:,.0f} s": interval_text(bits_at(case, moment), 3),
                "at equal time": lead_text(lead, names[id(rival)]) if lead else "",
            }
        )
    return pd.DataFrame(rows)
