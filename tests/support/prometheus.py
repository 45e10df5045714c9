"""What `/metrics` says, taken apart by the parser of Prometheus' own library."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


class Figures:
    """The samples of one answer."""

    def __init__(self, text: str) -> None:
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, /, **labels: str) -> float | None:
        """The value of the sample with exactly these labels, None where there is none."""
        return self._samples.get((name, frozenset(labels.items())))

    def labels(self, name: str) -> set[frozenset[tuple[str, str]]]:
        """The labels of each sample of that name."""
        return {labels for known, labels in self._samples if known == name}
