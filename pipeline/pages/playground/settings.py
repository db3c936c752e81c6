"""The Playground's settings: a widget for each option of network, training and augmentation."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from pipeline.playground.plan import Plan
from pipeline.settings import Setting, all_settings

# The settings that are always visible, and part of the address, so that a link can hold an exercise.
COMMON = (
    "hidden",
    "activation",
    "learning_rate",
    "optimizer",
    "epochs",
    "batch_size",
    "dropout",
    "weight_decay",
    "l2",
    "augment",
)


def draw_settings() -> tuple[dict[str, str], dict[str, st.delta_generator.DeltaGenerator]]:
    """Draw a widget for each setting; return their texts, and for each a container for an error message."""
    found = all_settings()
    texts: dict[str, str] = {}
    error_boxes: dict[str, st.delta_generator.DeltaGenerator] = {}

    def grid(names: list[str]) -> None:
        for pair in (names[i : i + 2] for i in range(0, len(names), 2)):
            with st.container(horizontal=True):
                for name in pair:
                    texts[name] = widget(found[name], is_bound=name in COMMON)
            error_boxes.update(dict.fromkeys(pair, st.container()))

    st.subheader("Settings", anchor=False)
    grid(list(COMMON))
    with st.expander("More settings"):
        for section in dict.fromkeys(setting.section for setting in found.values() if setting.section != "images"):
            st.markdown(f"**{section.capitalize()}**")
            grid([name for name, setting in found.items() if setting.section == section and name not in COMMON])
    return texts, error_boxes


def widget(setting: Setting, *, is_bound: bool, width: int | Literal["stretch"] = "stretch") -> str:
    """Draw one setting and return its text; `is_bound` makes it part of the address."""
    keeping: dict[str, Any] = {"width": width} | (
        {"bind": "query-params"} if is_bound else {"persist_state": "session"}
    )
    if setting.choices:
        index = setting.choices.index(setting.default)
        text = st.selectbox(setting.label, setting.choices, index, key=setting.name, help=setting.help, **keeping)
        return text or setting.default
    hint = "none" if not setting.default else f"{setting.default}"
    help = setting.help + ("; numbers of units separated by commas, or none" if setting.name == "hidden" else "")
    live = setting.name != "size"  # a new size means that all images are read again
    return st.text_input(
        setting.label, setting.default, key=setting.name, help=help, placeholder=hint, live=live, **keeping
    )


def describe_auto(plan: Plan, texts: dict[str, str]) -> str:
    """Say which values "auto" stands for."""
    values, found = plan.texts(), all_settings()
    autos = [name for name in COMMON if texts[name].strip() in ("", "auto") and values[name] != texts[name]]
    if not autos:
        return ""
    pairs = " · ".join(f"{found[name].label} {values[name]}" for name in autos)
    return f"For these images, auto means: {pairs}" + (" (until a short trial decides)" if "augment" in autos else "")
