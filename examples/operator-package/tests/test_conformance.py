"""The operator keeps what nasrec-nni asks of every operator."""

from __future__ import annotations

from nasrec_nni.testing import operator_conformance

TestMyOperator = operator_conformance("my-operator")
